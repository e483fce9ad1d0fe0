#!/bin/sh
# Known vulnerabilities of what is installed with the daemon. Usage: audit.sh PYTHON FOLDER REQUIREMENTS
# Without a network there is nobody to ask: it says so and ends well, so that a checkout can be tested anywhere.
# AUDIT_OSV_URL names a mirror of the OSV database (its /v1/query) to ask in place of PyPI.
set -eu
python=$1
folder=$2
requirements=$3

skip() {
  echo "audit skipped: $1"
  exit 0
}

[ -x "$folder/bin/pip-audit" ] || {
  "$python" -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check "pip-audit>=2.9,<3" 2>/dev/null || skip "pip-audit cannot be installed"
}
found="$folder/found.json"
rm -f "$found"
"$folder/bin/pip-audit" --requirement "$requirements" --require-hashes --disable-pip --progress-spinner off \
  ${AUDIT_OSV_URL:+--vulnerability-service osv --osv-url "$AUDIT_OSV_URL"} \
  --format json --output "$found" >/dev/null 2>&1 || true
[ -s "$found" ] || skip "the database of vulnerabilities cannot be reached"
"$folder/bin/python" - "$found" <<'REPORT'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    packages = json.load(file)["dependencies"]
known = [package for package in packages if "skip_reason" not in package]
if not known:
    print("audit skipped: the database that is reached from here knows none of the packages")
    sys.exit(0)
bad = [(package, found) for package in known for found in package["vulns"]]
for package, found in bad:
    fixed = ", ".join(found["fix_versions"]) or "no version yet"
    print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
print(f"audit: {len(bad)} known vulnerabilities in {len(known)} of {len(packages)} packages")
sys.exit(1 if bad else 0)
REPORT
