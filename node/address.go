package node

import (
	"net"
	"net/url"
	"strings"
)

// BaseURL is where a node serves HTTP. Its address is host:port, and then the
// scheme is the one given, which is that of the nodes themselves; or a URL, of a
// proxy that speaks TLS for them.
func BaseURL(scheme, address string) string {
	if trimScheme(address) != address {
		return address
	}
	return scheme + "://" + address
}

func trimScheme(address string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(address, scheme); ok {
			return rest
		}
	}
	return address
}

// validHTTP says whether clients can be told that a node is there. Empty: it is
// nowhere.
func validHTTP(address string) bool {
	if rest := trimScheme(address); rest != address {
		u, err := url.Parse(address)
		return err == nil && u.Hostname() != "" && u.Host == rest
	}
	host, port, err := net.SplitHostPort(address)
	return address == "" || err == nil && host != "" && port != "" && !strings.ContainsAny(address, " /")
}
