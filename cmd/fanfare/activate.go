package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"fanfare/proto"
)

// Names of sockets that systemd hands over (FileDescriptorName=).
const (
	socketClients = "ws"
	socketAdmin   = "admin"
)

// inherited are the sockets that were handed over in LISTEN_FDS.
type inherited struct {
	clients []int
	admin   net.Listener // nil: none
}

// inherit takes what systemd has handed over, by name. Once a process.
func inherit() (in inherited, err error) {
	for _, file := range activation.Files(true) {
		switch name := file.Name(); name {
		case socketClients:
			err = in.addClients(file)
		case socketAdmin:
			err = in.setAdmin(file)
		default:
			err = &settingError{"LISTEN_FDNAMES", fmt.Sprintf("%q is neither %s nor %s: see FileDescriptorName= in systemd.socket(5)", name, socketClients, socketAdmin)}
		}
		if err != nil {
			return in, err
		}
	}
	return in, nil
}

// addClients takes a copy of the descriptor, which the loops will own.
func (in *inherited) addClients(file *os.File) error {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("socket %s: %w", file.Name(), err)
	}
	in.clients = append(in.clients, fd)
	return file.Close()
}

func (in *inherited) setAdmin(file *os.File) error {
	if in.admin != nil {
		return &settingError{"LISTEN_FDNAMES", "there can be one socket named " + socketAdmin}
	}
	ln, err := net.FileListener(file)
	if err != nil {
		return &settingError{"LISTEN_FDS", fmt.Sprintf("the socket %s: %v", socketAdmin, err)}
	}
	in.admin = ln
	return file.Close()
}

// bound is an address that the server has, and as what.
type bound struct {
	addr  net.Addr
	as    proto.Listen
	admin bool
}

// listen binds every address of the settings and takes the sockets that were handed over; those named ws stand for --listen where it
// has its default. What is bound when one fails goes with the process.
func (r *running) listen(byDefault bool) (all []bound, err error) {
	in, err := inherit()
	if err != nil {
		return nil, err
	}
	s := &r.now.settings
	addresses := s.Listen
	if byDefault && len(in.clients) > 0 {
		addresses = nil
	}
	for _, l := range addresses {
		addr, err := r.server.Listen(l)
		_, taken := errors.AsType[syscall.Errno](err)
		_, unresolved := errors.AsType[*net.DNSError](err)
		if taken || unresolved { // which can be otherwise later: a service manager may try again
			return nil, err
		}
		if err != nil { // no dialect of that name, no such port
			return nil, &settingError{"--listen (FANFARE_LISTEN)", err.Error()}
		}
		all = append(all, bound{addr: addr, as: l})
	}
	inherited := proto.Listen{Dialect: proto.DefaultDialect, Namespace: proto.DefaultNamespace, Addr: socketClients}
	for _, fd := range in.clients {
		addr, err := r.server.ListenFD(inherited, fd)
		if err != nil {
			return nil, &settingError{"LISTEN_FDS", err.Error()}
		}
		all = append(all, bound{addr: addr, as: inherited})
	}
	admin, err := r.listenAdmin(in.admin)
	if err != nil || admin == nil {
		return all, err
	}
	return append(all, bound{addr: admin, admin: true}), nil
}

// listenAdmin binds the address for operators, if there is one, unless a socket for it was handed over.
func (r *running) listenAdmin(inherited net.Listener) (net.Addr, error) {
	switch address := string(r.now.settings.AdminListen); {
	case inherited != nil && address != "":
		return nil, &settingError{"--admin-listen (FANFARE_ADMIN_LISTEN)", "a socket named " + socketAdmin + " was handed over, too"}
	case inherited != nil:
		return r.server.ListenAdminOn(inherited)
	case address != "":
		return r.server.ListenAdmin(address)
	}
	return nil, nil //nolint:nilnil // no address is no error
}
