#!/usr/bin/env bash
# What a machine with a GPU does, in eight minutes: correctness first, then figures, then a profile.
#
#   benchmarks/gpu.sh [--quick] [--out FOLDER] [--wheels FOLDER] [--python PROGRAM]
#
# --wheels makes an environment from the wheels of a folder (Landscribe's among them) and what the machine's own Python
# has; without it, the Python that is named (or `python3`) runs the sources beside this script with its own torch.
# --quick takes tiny sizes, on any machine, to see that the script works. Each part has its own limit of time and writes
# JSON into the folder; summary.json says how each ended. Ends with 1 if a part failed, was cut off or gave other numbers.
set -u
here=$(cd "$(dirname "$0")" && pwd)
quick="" out="gpu-results" wheels="" python="python3" all=470
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick="--quick" ;;
    --out) out="$2"; shift ;;
    --wheels) wheels="$2"; shift ;;
    --python) python="$2"; shift ;;
    *) echo "gpu.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
rows="" failed=0 began=$SECONDS

# part NAME SECONDS COMMAND...: runs it within its own limit and what is left of all, and notes how it ended.
part() {
  local name=$1 limit=$2 left=$((all - SECONDS + began)) start=$SECONDS code said
  shift 2
  [ "$left" -lt "$limit" ] && limit=$left
  if [ "$limit" -le 0 ]; then
    code=124
  else
    timeout --kill-after=5 "$limit" "$@" >"$out/$name.out" 2>"$out/$name.err"
    code=$?
  fi
  case $code in
    0) said="done" ;;
    124 | 137) said="cut off after $limit s" ;;
    *) said="failed: $(tail -n 1 "$out/$name.err" | tr -d '"\\' | cut -c 1-200)" ;;
  esac
  [ "$code" -eq 0 ] || failed=1
  rows="$rows${rows:+,
 }{\"part\": \"$name\", \"seconds\": $((SECONDS - start)), \"code\": $code, \"said\": \"$said\"}"
  printf '[\n %s\n]\n' "$rows" >"$out/summary.json"
  echo "$name: $said ($((SECONDS - start)) s)"
}

if [ -n "$wheels" ]; then
  part setup 90 sh -c '"$1" -m venv --system-site-packages "$2/venv" &&
    "$2/venv/bin/python" -m pip install --quiet --no-index --find-links "$3" landscribe' sh "$python" "$out" "$wheels"
  python="$out/venv/bin/python"
else
  export PYTHONPATH="$here/../src${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
landscribe="import sys; sys.argv[0] = 'landscribe'; from landscribe.cli import main; main()"

part doctor 40 "$python" -c "$landscribe" doctor
tests="$here/../tests"
if [ -z "$quick" ] && "$python" -c "import pytest, hypothesis" 2>/dev/null; then
  part tests 90 "$python" -m pytest -q -p no:cacheprovider "$tests/nn/sample/test_fused_gather.py" \
    "$tests/nn/train/test_waiting.py" "$tests/nn/train/test_chips.py" "$tests/nn/train/test_changed_chips.py" \
    "$tests/nn/train/test_compile.py" "$tests/nn/train/test_ranks.py" "$tests/nn/predict/test_in_flight.py"
fi
part check 90 "$python" "$here/gpu.py" check --out "$out" $quick
part chips 40 "$python" "$here/gpu.py" chips --out "$out" $quick
part step 90 "$python" "$here/gpu.py" step --out "$out" $quick
part scene 70 "$python" "$here/gpu.py" scene --out "$out" $quick
part run 90 "$python" "$here/gpu.py" run --out "$out" $quick
part profile 40 "$python" "$here/gpu.py" profile --out "$out" $quick
exit $failed
