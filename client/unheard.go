package client

import "errors"

// ErrUnheard is the cause of a refusal, as errors.Is tells, when an earlier copy
// of the command was lost with its connection and may yet arrive: what is
// refused is not remembered, so the cluster judges a late copy anew. A command
// that is refused now, for the user is no member, may then be carried out once
// he is one again. It happens at most once, and sending it again by its token
// tells.
var ErrUnheard = errors.New("client: an earlier copy of the command was not heard of, and may yet be carried out")
