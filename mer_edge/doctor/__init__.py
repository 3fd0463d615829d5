"""What ``mer-edge doctor`` finds out. Standard library only: a doctor must not need the patient."""
