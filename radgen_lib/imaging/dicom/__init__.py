"""From DICOM files to phases to volumes."""
