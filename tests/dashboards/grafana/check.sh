#!/bin/sh
# Type-check the committed dashboards against Grafana's own schema package. Needs Node; fetches two packages.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund --loglevel=error
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
