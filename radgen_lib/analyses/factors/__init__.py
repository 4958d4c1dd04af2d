"""What the factors of the omics are worth: predictions in unseen patients, stability over seeds, and their meaning."""
