"""What a data set's lines say of its clips: for training, for calibration, for evaluation."""
