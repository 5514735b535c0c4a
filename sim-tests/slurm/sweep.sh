#!/bin/bash
#SBATCH --array=1-32
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
cargo wavetank sweep "$@" --others --jobs "$SLURM_CPUS_PER_TASK" \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_MAX" --results "results/$SLURM_ARRAY_TASK_ID.jsonl"
