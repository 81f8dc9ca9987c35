//! The library that LD_PRELOAD puts into traced processes.
#![no_std]
