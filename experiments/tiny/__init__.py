from editors.torchvision_cpu import allow_torchvision

allow_torchvision()  # before anything here imports transformers
