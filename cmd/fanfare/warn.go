package main

import (
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fanfare/loop/kernel"
)

// warn tells, at the start, of what looks like a mistake.
func (r *running) warn() {
	warnLimits(r.log, os.DirFS("/"))
	warnCrowd(r.log, r.now.settings.MaxConnections)
	warnVariables(r.log, os.Environ(), slices.Collect(maps.Keys(r.now.texts)))
}

// warnLimits says once, at the start, that the host's limits are those of a desktop.
func warnLimits(log *slog.Logger, root fs.FS) {
	h := kernel.Read(root)
	if h.Backlog != kernel.Unknown && h.Backlog < kernel.Backlog {
		log.Warn("when many connect at once, some will wait a second and more: net.core.somaxconn is low",
			"have", int64(h.Backlog), "need", kernel.Backlog, "see", "fanfare doctor")
	}
	if h.Files != kernel.Unknown && h.Files <= fewFiles {
		log.Warn("few connections fit: the limit of descriptors (nofile) is low", "have", int64(h.Files), "see", "fanfare doctor")
	}
}

// warnCrowd says that more connections are let in than there are descriptors for: who comes beyond those is refused as well, but late.
func warnCrowd(log *slog.Logger, most int) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	files := int(min(limit.Cur, math.MaxInt32))
	if fit := files - kernel.Spare(files); most > fit {
		log.Warn("max-connections is more than the descriptors allow", "max-connections", most, "descriptors", files, "fit", fit)
	}
}

// warnVariables names variables that look like misspelt settings. They are no errors: others may have variables of our prefix, too.
func warnVariables(log *slog.Logger, environ, settings []string) {
	known := make([]string, 0, 1+len(settings))
	known = append(known, keyVariable)
	for _, name := range settings {
		known = append(known, "FANFARE_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "FANFARE_") || slices.Contains(known, name) {
			continue
		}
		if near, distance := nearest(name, known); distance <= 2 {
			log.Warn("a variable that is no setting is ignored", "variable", name, "near", near)
		}
	}
}
