//! Sends the kick-off request, and finds the group it is for.
