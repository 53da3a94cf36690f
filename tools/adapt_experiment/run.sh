#!/bin/sh
# Adapts trained models: to other recordings, and after a lesion (docs/results/adapting.md).
#
#   tools/adapt_experiment/run.sh SIMRUN SCENES OUT [SEED..]
#
# SIMRUN is the program, SCENES the folder `scenes`, OUT a folder for the runs; a run that is there is not made again, so a series that was
# cut off goes on. Seeds (default 1 2 3) run beside each other. Then: tools/adapt_experiment/summary.py SCENES OUT
# STEPS (default 100) are the training steps of a model, a tenth of them those of adapting; KEEP (default 1000) is the weight of
# losses.structure.keep where it is on; PARTS (default "data lesion") says which of the two experiments; SETTINGS are more settings for all runs, e.g. SETTINGS="--set time.duration_ms=100".
set -eu
simrun=$1 scenes=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- 1 2 3
parts=${PARTS:-data lesion} steps=${STEPS:-100} keep=${KEEP:-1000} settings=${SETTINGS:-}
few=$(((steps + 9) / 10))
first=$(cd "$scenes/v1_halves/first" && pwd)
second=$(cd "$scenes/v1_halves/second" && pwd)
mkdir -p "$out"

# NAME COMMAND..: makes the run of that name, if it is not there.
made() {
    dir=$out/$1
    shift
    [ -e "$dir/summary.json" ] || "$@" --out "$dir" --quiet $settings >"$dir.log" 2>&1 ||
        { cat "$dir.log" >&2; return 1; }
}

# SEED: all models of one seed. Words of $settings are meant to be split.
series() {
    s=$1
    train="$simrun $scenes/v1_4k.ron --set seed=$s --set optimiser.training_steps=$steps \
        --set optimiser.warmup_steps=$few --set evaluate.every_steps=0"
    lesion='network.lesion=Share({"PV": 0.1})'
    made "all_$s" $train
    case $parts in *data*)
        made "first_$s" $train --set "recordings=\"$first\""
        for arm in free:0 kept:"$keep"; do
            made "adapted_${arm%:*}_$s" "$simrun" adapt "$out/first_$s" --recordings "$second" --steps $few --keep "${arm#*:}"
        done
    esac
    case $parts in *lesion*)
        made "lesioned_$s" "$simrun" adapt "$out/all_$s" --set "$lesion" --steps 0 --keep 0
        made "lesioned_adapted_$s" "$simrun" adapt "$out/all_$s" --set "$lesion" --steps $few --keep "$keep"
        made "unlesioned_adapted_$s" "$simrun" adapt "$out/all_$s" --steps $few --keep "$keep"
    esac
}

failed=0 running=
for seed in "$@"; do
    series "$seed" &
    running="$running $!"
done
for process in $running; do
    wait "$process" || failed=1
done
exit $failed
