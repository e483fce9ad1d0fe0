#!/bin/sh
# Type-check the committed dashboards against Grafana's own schema package. Fetches two packages; where there is no Node,
# or nobody to fetch them from, it says so and passes.
set -eu
cd "$(dirname "$0")"
give_up() {
    echo "grafana-types: $1; skipped" >&2
    exit 0
}

command -v npm >/dev/null || give_up "needs Node and npm"
npm ci --no-audit --no-fund --loglevel=error || give_up "npm could not fetch the packages of package-lock.json"
rm -rf build
mkdir build
for file in ../../../dashboards/*.json ../../../dashboards/stacks/*.json; do
    {
        echo "import type { OurDashboard } from '../types.js';"
        printf 'export const dashboard: OurDashboard = '
        cat "$file"
    } >"build/$(basename "$(dirname "$file")")-$(basename "$file" .json).ts"
done
npx tsc --project .
echo "$(ls build | wc -l) dashboards are what Grafana $(node -p "require('@grafana/schema/package.json').version") says they may be"
