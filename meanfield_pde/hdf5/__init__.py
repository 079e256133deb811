"""Records as HDF5 files, with dimension scales as netCDF-4 and xarray expect them, and a checksum."""

from meanfield_pde.hdf5.reading import read
from meanfield_pde.hdf5.writing import write

__all__ = ["read", "write"]
