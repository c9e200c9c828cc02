"""Build inputs: what each maintained source says, read into rate rows without judging it."""
