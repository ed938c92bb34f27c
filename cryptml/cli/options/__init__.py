"""Options of commands, by what they are about; a group of them is a dataclass (`groups`)."""
