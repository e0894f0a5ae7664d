"""`python -m raml.configs [NAME …]`: where the packaged settings are."""

import sys

from raml.configs import list_configs

packaged = list_configs()
names = sys.argv[1:]
if unknown := [name for name in names if name not in packaged]:
    print(f"raml comes with no settings {unknown[0]!r}; there are {', '.join(packaged)}.", file=sys.stderr)
    sys.exit(2)
for name in names or packaged:
    print(packaged[name] if names else f"{name:24}{packaged[name]}")
