package leanmessage

import (
	"context"
	"errors"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

const (
	defaultLogs = 20
	maxLogs     = 100  // of a page asked for with l
	maxLogLimit = 1000 // of one asked for with limit
)

// historyCodes is what refusals are for reading messages.
//
//nolint:gochecknoglobals // a lookup table
var historyCodes = codes{
	state.NotFound: CodeInvalidTarget, state.Gone: CodeInvalidTarget, state.NotMember: CodeConvLogRejected, state.Forbidden: CodeConvLogRejected,
	state.Banned: CodeConvLogRejected,
}

// logs answers with a page of a conversation's messages, always in ascending
// order.
func logs(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetLogsMessage()
	id := storedID(m.GetCid())
	if wire.ValidID(string(id)) != nil {
		return nil, errorf(CodeInvalidTarget, "the conversation's id is none")
	}
	q := &ask.History{
		Conversation: id, Newer: m.GetDirection() == leanpb.LogsCommand_NEW, Limit: logLimit(m),
		Start: logPlace(m.GetMid(), m.GetT(), m.GetTIncluded()), End: logPlace(m.GetTmid(), m.GetTt(), m.GetTtIncluded()),
	}
	if m.Lctype != nil {
		kind := int64(m.GetLctype())
		q.Type = &kind
	}
	page, err := c.historyOf(ctx, q)
	if err != nil {
		return nil, historyError(err)
	}
	out := &leanpb.LogsCommand{Cid: new(m.GetCid())}
	if page != nil {
		for i := range page.Messages {
			out.Logs = append(out.Logs, logItem(&page.Messages[i], page.Preset))
		}
	}
	return &leanpb.GenericCommand{Cmd: leanpb.CommandType_logs.Enum(), LogsMessage: out}, nil
}

// historyOf reads messages of a conversation, or of what is one to clients.
func (c *client) historyOf(ctx context.Context, q *ask.History) (*ask.HistoryPage, error) {
	if (services{c}).known(q.Conversation) {
		return services{c}.history(ctx, q)
	}
	a, err := c.host().Ask(ctx, c.app, c.user, string(q.Conversation), &ask.Request{History: q})
	refused, ok := errors.AsType[*state.RefusedError](err)
	if ok && refused.Refusal == state.NotMember && (services{c}).is(ctx, q.Conversation) {
		return services{c}.history(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	return a.History, nil
}

func historyError(err error) *Error {
	e := historyCodes.failed(err)
	if _, refused := errors.AsType[*state.RefusedError](err); !refused && e.Code == CodeInternalError {
		e.Code = CodeConvLogFailed
	}
	return e
}

// logLimit is how many messages a client wants: it says so in one of two fields,
// and 0 is none.
func logLimit(m *leanpb.LogsCommand) int {
	switch {
	case m.L != nil:
		return int(max(0, min(m.GetL(), maxLogs)))
	case m.Limit != nil:
		return int(max(0, min(m.GetLimit(), maxLogLimit)))
	default:
		return defaultLogs
	}
}

// logPlace is an end of the page. Without a time it is open, and a message alone
// says as much as one with its time.
func logPlace(id string, millis int64, included bool) ask.Place {
	return ask.Place{Message: wire.MessageID(id), Time: millis, Included: included}
}
