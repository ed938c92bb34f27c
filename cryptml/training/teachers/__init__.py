"""What a quantised network learns from: float teachers, distillation, pretraining."""
