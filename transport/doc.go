// Package transport moves whole frames between two processes and knows nothing
// of what they mean.
//
// Everything above it speaks through [Conn]. Behind it stand:
//
//   - for clients, QUIC (ALPN "quorate/1", the first bidirectional stream) and
//     WebSocket (subprotocol "quorate.v1"), both accepted by one [Edge], which
//     bounds what somebody who has not signed in can make a node hold;
//   - between nodes, TLS 1.3 over TCP in which both ends show a certificate of
//     the cluster's own [CA];
//   - for tests and the simulator, queues in memory ([Pipe], [Network]), which
//     wait on channels and timers only, so that virtual time moves them.
//
// QUIC between nodes was measured and costs more for each command; the room
// transport/mux speaks only to [Conn], so the choice stays in tls.go.
//
// On every byte stream a frame is its length as a uvarint, then its bytes:
//
//	| length, 1–5 | frame, length bytes |   a length of 0 is never a frame
//
// What always holds:
//
//   - A length is checked against the read limit before anything is allocated
//     for it, and memory grows with the bytes that came, not with the bytes
//     that were announced.
//   - One call of WriteFrames is one write, however many frames it has (up to
//     64 KiB; beyond, one for each 64 KiB).
//   - Close tells the other side why, after what was written before it, and
//     takes at most [CloseLinger].
//   - A goroutine started here is waited for by the Close of what started it.
package transport
