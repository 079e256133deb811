"""What the files are made of, besides the names in a record."""

__all__ = ["BARE_DIMENSION", "ENCODING", "INTEGRITY", "VERSION"]

#: The attribute by which a file of this program is known.
VERSION = "meanfield_pde_version"

#: The group that holds the checksum; no part of the record.
INTEGRITY = "integrity"

#: How the name of a scale begins that stands for a dimension without coordinates.
BARE_DIMENSION = b"This is a netCDF dimension but not a netCDF variable."

#: The attribute by which xarray knows that bytes are texts, and its value here.
ENCODING = ("_Encoding", "utf-8")
