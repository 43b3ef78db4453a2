package proto

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Defaults of a --listen value.
const (
	DefaultDialect   = "native"
	DefaultNamespace = "default"
)

const (
	optionNamespace = "namespace"
	optionSlow      = "slow"
	namespaceMax    = 64
	unixPrefix      = "unix:"
	unixPathMax     = 107 // sun_path (unix(7)) without its final zero
	listenForm      = "[DIALECT=]ADDR[,namespace=NAME][,slow=POLICY]"
	addrForm        = "HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH"
	nameLetters     = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)

// Listen is one address to listen at: what is spoken there and whose topics are meant.
type Listen struct {
	Dialect   string
	Addr      string // host:port or unix:/path
	Namespace string
	Slow      string // policy for slow consumers, a name that ParsePolicy knows; "" leaves it to the dialect
}

// String gives the value that ParseListen reads as l.
func (l Listen) String() string {
	s := l.Addr
	if l.Dialect != DefaultDialect {
		s = l.Dialect + "=" + s
	}
	if l.Namespace != DefaultNamespace {
		s += "," + optionNamespace + "=" + l.Namespace
	}
	if l.Slow != "" {
		s += "," + optionSlow + "=" + l.Slow
	}
	return s
}

// ParseListen reads [DIALECT=]ADDR[,namespace=NAME][,slow=POLICY]. ADDR is HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH, without commas. Whether the
// dialect exists is for Server.Listen to say.
func ParseListen(s string) (Listen, error) {
	l, err := parseListen(s)
	if err != nil {
		return Listen{}, fmt.Errorf("listen %q: %w; expected %s", s, err, listenForm)
	}
	return l, nil
}

func parseListen(s string) (Listen, error) {
	l := Listen{Dialect: DefaultDialect, Namespace: DefaultNamespace}
	addr, options, more := strings.Cut(s, ",")
	// An = behind the first : or / belongs to the address.
	if i := strings.IndexAny(addr, "=:/["); i >= 0 && addr[i] == '=' {
		if l.Dialect, addr = addr[:i], addr[i+1:]; !isName(l.Dialect) {
			return l, fmt.Errorf("dialect %q: %w", l.Dialect, errName)
		}
	}
	if err := checkAddr(addr); err != nil {
		return l, err
	}
	l.Addr = addr
	given := make(map[string]bool)
	for more {
		var option string
		option, options, more = strings.Cut(options, ",")
		name, value, _ := strings.Cut(option, "=")
		if given[name] {
			return l, fmt.Errorf("%s given twice", name)
		}
		given[name] = true
		var err error
		if l, err = l.option(name, value); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l Listen) option(name, value string) (Listen, error) {
	switch name {
	case optionNamespace:
		if !isName(value) {
			return l, fmt.Errorf("namespace %q: %w", value, errName)
		}
		l.Namespace = value
	case optionSlow:
		if _, err := ParsePolicy(value); err != nil {
			return l, err
		}
		l.Slow = value
	default:
		known := []string{optionNamespace, optionSlow}
		return l, fmt.Errorf("unknown option %q%s (known: %s)", name, meant(name, known), strings.Join(known, ", "))
	}
	return l, nil
}

var errName = fmt.Errorf("must be 1 to %d letters, digits, dots, dashes or underscores", namespaceMax)

func isName(s string) bool {
	return s != "" && len(s) <= namespaceMax && strings.Trim(s, nameLetters) == ""
}

func checkAddr(addr string) error {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		switch {
		case !strings.HasPrefix(path, "/"):
			return fmt.Errorf("address %q: the path of a unix socket must begin with /", addr)
		case len(path) > unixPathMax:
			return fmt.Errorf("address %q: the path of a unix socket has at most %d bytes", addr, unixPathMax)
		case strings.IndexByte(path, 0) >= 0:
			return fmt.Errorf("address %q: zero byte in the path", addr)
		}
		return nil
	}
	if addr == "" {
		return fmt.Errorf("no address: must be %s", addrForm)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: must be %s", addr, addrForm)
	}
	if strings.Trim(host, nameLetters+":%") != "" { // a zone comes behind %
		return fmt.Errorf("address %q: malformed host", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("address %q: port must be a number from 0 to 65535", addr)
	}
	return nil
}

// meant suggests the known name that is nearest to a wrong one, as ` (did you mean "x"?)`, if one is near.
func meant(wrong string, known []string) string {
	best, least := "", len(wrong)/2+1
	for _, k := range known {
		if d := Edits(wrong, k); d <= least && d < len(k) {
			best, least = k, d-1
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// Edits counts the bytes to insert, delete or replace to make b of a, for suggesting the name that was meant. A word of more than 64
// bytes is near to nothing: 64.
func Edits(a, b string) int {
	const long = 64
	if len(a) > long || len(b) > long {
		return long
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := before
			if a[i] != b[j] {
				d = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
