//! What a server says when it refuses: OperationOutcome, or an OAuth error.
