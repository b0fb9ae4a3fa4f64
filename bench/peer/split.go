package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Split says where a process spends its CPU time: in user code or in the
// kernel. The kernel's own split of utime and stime is by clock ticks, which
// here is coarse to the point of guessing; this is by samples of cpu-clock, a
// timer of high resolution that runs while the process does. Sampling costs
// the process some time for each wake-up, so it is not for the window in which
// CPU is measured.
type Split struct {
	rings []ring
}

// Most samples a second, a number that keeps step with no timer.
const sampling = 3989

const (
	ringPages = 64 // of records of 8 bytes: more than half a minute of a busy thread
	pageSize  = 4096
)

type ring struct {
	fd   int
	data []byte // a page of control, then the records
}

// Sample begins to sample all threads that a process and its descendants have
// now. It needs root, or kernel.perf_event_paranoid of 1 or less.
func Sample(root int) (*Split, error) {
	s := &Split{}
	for _, t := range threads(root) {
		attr := unix.PerfEventAttr{
			Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK,
			Size:   uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
			Sample: sampling, Bits: unix.PerfBitFreq | unix.PerfBitExcludeHv,
		}
		fd, err := unix.PerfEventOpen(&attr, t.id, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			s.close()
			return nil, fmt.Errorf("perf_event_open: %w", err)
		}
		data, err := unix.Mmap(fd, 0, (1+ringPages)*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			_ = unix.Close(fd)
			s.close()
			return nil, fmt.Errorf("a ring of samples: %w", err)
		}
		s.rings = append(s.rings, ring{fd, data})
	}
	return s, nil
}

// Stop ends it and returns how many samples fell into user code and how many
// into the kernel.
func (s *Split) Stop() (user, kernel int) {
	for _, r := range s.rings {
		_ = unix.IoctlSetInt(r.fd, unix.PERF_EVENT_IOC_DISABLE, 0)
		u, k := r.count()
		user, kernel = user+u, kernel+k
	}
	s.close()
	return user, kernel
}

// count reads the records: their headers are all there is to them, as no field
// was asked for.
func (r ring) count() (user, kernel int) {
	control := (*unix.PerfEventMmapPage)(unsafe.Pointer(&r.data[0]))
	head := atomic.LoadUint64(&control.Data_head)
	records := r.data[pageSize:]
	const header = 8 // type uint32, misc uint16, size uint16
	for at := uint64(0); at+header <= min(head, uint64(len(records))); {
		record := records[at:]
		kind, misc, size := binary.NativeEndian.Uint32(record), binary.NativeEndian.Uint16(record[4:]), binary.NativeEndian.Uint16(record[6:])
		if size < header {
			break
		}
		if kind == unix.PERF_RECORD_SAMPLE {
			switch misc & unix.PERF_RECORD_MISC_CPUMODE_MASK {
			case unix.PERF_RECORD_MISC_USER:
				user++
			case unix.PERF_RECORD_MISC_KERNEL:
				kernel++
			}
		}
		at += uint64(size)
	}
	return user, kernel
}

func (s *Split) close() {
	for _, r := range s.rings {
		_ = unix.Munmap(r.data)
		_ = unix.Close(r.fd)
	}
	s.rings = nil
}
