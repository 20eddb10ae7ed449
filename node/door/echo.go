package door

// NoEcho is the [state.Origin.Session] of a message that its sender's own
// sessions are not to be pushed: a back end has sent it in his name and asks for
// that. No session has this number. What is read from a log has no origin, so it
// is a wish and no promise.
const NoEcho uint64 = 1 << 62
