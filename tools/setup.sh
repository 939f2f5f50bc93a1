#!/usr/bin/env bash
# Make the virtual environment $1 with statevec in place and the development tools.
# Takes $STATEVEC_PYTHON, else pyenv's interpreter of .python-version, else the newest of python3.13, 3.12, 3.11 that runs.
set -euo pipefail
venv=$1
wanted=$(cat .python-version)
candidates=("${STATEVEC_PYTHON:-}")
if command -v pyenv >/dev/null; then
    version=$(pyenv versions --bare 2>/dev/null | grep -E "^${wanted//./\\.}(\.|$)" | tail -n 1 || true)
    [ -n "$version" ] && candidates+=("$(pyenv root)/versions/$version/bin/python")
fi
candidates+=("python$wanted" python3.13 python3.12 python3.11 python3)
for python in "${candidates[@]}"; do
    [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    python=
done
[ -n "${python:-}" ] || { echo "statevec needs Python 3.11 or newer; none of these runs: ${candidates[*]}" >&2; exit 1; }
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -e '.[dev]'
