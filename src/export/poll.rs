//! Asks for the status of the job until it is done.
