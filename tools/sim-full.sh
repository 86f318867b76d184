#!/usr/bin/env bash
# The papers' figures at full size, from the production ring: draws doc/figures/ and prints the tables of doc/paper.md.
# tools/sim-full.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-doc/figures}
sim=${QUORDSIM:-bin/quordsim}
mkdir -p "$out"
run() {
  echo
  echo "\$ quordsim $*"
  "$sim" "$@"
}
run paths --nodes 8,16,32,64,128,256,512,1024,2048,4096,8192,16384 --lookups 2000 --svg "$out/paths.svg"
run paths --nodes 4096 --lookups 5000 --svg "$out/paths-pdf.svg"
run paths --preset quord --nodes 4,8,16,32,64,128 --rings 5 --lookups 2000 --svg "$out/paths-quord.svg"
run load --keys 100000,200000,300000,400000,500000,600000,700000,800000,900000,1000000 --svg "$out/load.svg"
run load --tokens 1,2,5,10,20 --rings 3 --svg "$out/load-tokens.svg"
run failures --fail 0,0.1,0.3,0.5 --lookups 2000 --svg "$out/failures.svg"
run churn --rate 0.05,0.1,0.2,0.25,0.35,0.4 --rings 3 --svg "$out/churn.svg"
run churn --preset quord --rate 0.01,0.05,0.1,0.2
run stretch --proximity 1,2,4,8,16 --rings 1 --svg "$out/stretch.svg"
run stretch --proximity 1,2,4,8,16 --rings 1 --mode recursive --svg "$out/stretch-recursive.svg"
run stretch --preset quord --proximity 1,2,4,8,16 --rings 1
run stretch --preset quord --proximity 1,2,4,8,16 --rings 1 --mode recursive
run paths --nodes 100,1000,10000,100000,1000000 --rings 1 --lookups 2000 --state --svg "$out/scale.svg"
run balance --tokens 16,32,64,128,256,512 --svg "$out/balance.svg"
run balance --preset quord --rings 10
run join --nodes 16,32,64,128,256,512 --rings 10 --svg "$out/join.svg"
run join --preset quord --rings 3
run join --preset quord --rings 3 --leave
run invariants
run invariants --nodes 6
run invariants --nodes 5 --successors 3
run invariants --rules original
run invariants --nodes 1000 --successors 8 --rings 3
run invariants --nodes 12 --successors 2 --rings 10 --steps 100000
