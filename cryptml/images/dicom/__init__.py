"""DICOM files, after an allow-list of attributes: what can change the picture is implemented after the standard, or refuses the file.

Only the decoder process imports this: it reads hostile bytes.
"""
