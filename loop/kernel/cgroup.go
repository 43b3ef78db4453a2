package kernel

import (
	"io/fs"
	"path"
	"strings"
)

const (
	groups       = "sys/fs/cgroup"        // version 2
	memoryGroups = "sys/fs/cgroup/memory" // version 1, its controller of memory
)

// GroupMemory is the lowest memory.max of this process's control group and those above it (cgroups v2); 0 if there is none.
func GroupMemory(root fs.FS) int64 {
	v := lowest(root, groups, own(root, ""), "memory.max")
	if v == Unlimited {
		return 0
	}
	return int64(v)
}

// groupMemory is the lowest limit of memory of either version; Unlimited if there is none, Unknown if the groups cannot be read.
func groupMemory(root fs.FS) Value {
	if _, err := fs.ReadFile(root, "proc/self/cgroup"); err != nil {
		return Unknown
	}
	return min(
		lowest(root, groups, own(root, ""), "memory.max"),
		lowest(root, memoryGroups, own(root, "memory"), "memory.limit_in_bytes"),
	)
}

// own gives the control groups that this process is in by one controller; no name is version 2.
func own(root fs.FS, controller string) (found []string) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) { // 4:cpu,memory:/a/b, or 0::/a/b
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 || (controller == "") != (parts[0] == "0") {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if name == controller {
				found = append(found, parts[2])
			}
		}
	}
	return found
}

// lowest is the lowest limit in a file of these groups and of all above them up to where they are mounted; Unlimited if none has one.
func lowest(root fs.FS, mount string, dirs []string, file string) Value {
	least := Unlimited
	for _, dir := range dirs {
		dir = path.Join("/", dir) // what is above the mount is out of sight: /../a is /a
		for ; ; dir = path.Dir(dir) {
			text, err := fs.ReadFile(root, path.Join(mount, dir, file)) // none at the root of all groups
			if v := number(string(text)); err == nil && v != Unknown {
				least = min(least, v)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}
