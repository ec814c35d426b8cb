"""The border to C: what is declared (cdef.h), what is opened (library), how failures are told.

Only this package and ``_handles`` see cffi.
"""
