// Package kernel reads what a Linux host lets one process hold, and says what of it is too little for so many connections.
//
// Read takes a file system with proc and sys in it, the host's or a test's, and nothing else: no system call, no privilege. What
// cannot be read or makes no sense is Unknown; it decides nothing and is shown as such. Examine compares a Host with a number of
// connections. Some limits are each process's, so that more processes help; the others are shared by all of them.
//
//	what a connection takes                      of whom
//	a descriptor                                 RLIMIT_NOFILE, fs.nr_open (a process); fs.file-max (the host)
//	a watch, some 160 bytes that never swap      fs.epoll.max_user_watches (a user)
//	a page while something is under way to it    net.ipv4.tcp_mem (the host)
//	5,300 bytes: 5,000 the kernel's, 300 ours    MemAvailable (the host), memory.max (a control group)
//	an entry, where a firewall tracks            net.netfilter.nf_conntrack_max (the host)
//
// Two more bound how many may come at once and not how many there are: net.core.somaxconn and net.ipv4.tcp_max_syn_backlog. One is
// a limit only of what connects from this very host: net.ipv4.ip_local_port_range.
package kernel
