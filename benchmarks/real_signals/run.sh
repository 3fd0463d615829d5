#!/usr/bin/env bash
# Trains everything of results/real-signals.md. Takes hours of two cores; each part goes on where
# an earlier try ended.
#
#     benchmarks/real_signals/run.sh SOURCE BERT OUT
#
# SOURCE: ravdess_audio/, fer2013/, goemotions/ (see data.py); BERT: a MiniLM's folder; OUT: new.
set -euo pipefail
source=$(realpath "$1") bert=$(realpath "$2") here=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$3"
cd "$3"
export PYTHONPATH=$here
python="$here/.venv/bin/python" mer="$here/.venv/bin/mer-edge"
note="Class-matched triples of RAVDESS sound, FER2013 faces and GoEmotions sentences: the modalities \
are independent given the label, so fusion looks better than in life. Not benchmark accuracy."

[ -d data ] || "$python" -m benchmarks.real_signals.data --source "$source" --out data

# Encoders to start from, as the paper starts from pre-trained ones: the voices and faces of the
# training split alone.
scratch="--preset small --seed 0 --augment --precision bf16 --threads 1 --linear-decay --resume --quiet"
"$mer" train data/faces $scratch --variant visual --out runs/faces --epochs 10 --patience 10 \
  --batch-size 16 --lr 1e-3 --warmup-steps 50
"$mer" train data/triples $scratch --variant audio --out runs/voices --epochs 40 --patience 40 \
  --batch-size 8 --lr 1e-3 --warmup-steps 100 --clip-norm 1

grid="--preset small --bert $bert --vggish runs/voices --resnet runs/faces --epochs 5 --patience 9 \
  --batch-size 8 --lr 2e-4 --warmup-steps 60 --linear-decay --clip-norm 1 --augment --precision bf16 \
  --threads 1 --seeds 0,1,2 --quiet"
"$mer" ablate data/triples --out grid/variants --note "$note" $grid \
  --variants audio,visual,text,mer,mer-sem,mer-mbt,mer-sem-mbt
"$mer" ablate data/triples --out grid/attention --note "$note" $grid \
  --variants mer-sem-mbt --vary sem_attention=key,tokens

# A small student from random weights, alone and with the run of the best validation F1 as teacher.
student="--preset tiny --variants mer-mbt --epochs 12 --patience 12 --batch-size 8 --lr 1e-3 \
  --warmup-steps 60 --linear-decay --clip-norm 1 --augment --precision bf16 --threads 1 \
  --seeds 0,1,2 --quiet"
"$mer" ablate data/triples --out grid/student --note "$note" $student
"$mer" ablate data/triples --out grid/distilled --note "$note" $student \
  --teacher grid/variants/mer-mbt/seed-2

# Each modality on the larger sets of its own.
"$mer" evaluate runs/faces --json > runs/faces.json
mkdir -p runs/ravdess
for fold in 1 2 3 4 5; do
  parts="--dataset ravdess --split-by fold-$fold-of-5 --cache runs/ravdess/prepared"
  "$mer" train data/voices $parts $scratch --variant audio --out runs/ravdess/fold-$fold \
    --epochs 40 --patience 40 --batch-size 8 --lr 1e-3 --warmup-steps 100 --clip-norm 1
  "$mer" evaluate runs/ravdess/fold-$fold --data data/voices $parts --json \
    > runs/ravdess/fold-$fold.json
done
"$python" -m benchmarks.real_signals.text_alone --source "$source" --bert "$bert" --out text.json \
  --threads 1
"$python" -m benchmarks.real_signals.baselines --data data --source "$source" --bert "$bert" \
  --out baselines.json
"$python" -m benchmarks.real_signals.overfit --data data --bert "$bert" --out overfit.json \
  --threads 1
"$python" -m benchmarks.real_signals.report --runs .
