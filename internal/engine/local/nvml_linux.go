//go:build linux && cgo && nvml

package local

import (
	"errors"
	"fmt"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/gaon-ai/gaon/internal/unit"
)

// nvmlName is found as the dynamic linker finds it. It comes with the driver;
// this program is built, and runs, without it.
const nvmlName = "libnvidia-ml.so.1"

// nvmlNeeds are the functions called here. The binding leaves their names to
// be bound at the first call, and a name that cannot be bound then ends the
// process: so they are looked up first.
var nvmlNeeds = []string{
	"nvmlInit_v2", "nvmlShutdown", "nvmlErrorString", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2",
	"nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetMinorNumber", "nvmlDeviceGetMemoryInfo",
}

var askNVML = nvmlAt(nvmlName)

// nvmlAt asks the library at a path or of a name.
func nvmlAt(name string) func() ([]card, error) {
	// The library is opened once and for good. The binding closes what it
	// opens, and names bound into a library that has left its place in memory
	// would be called where nothing is.
	open := sync.OnceValue(func() error { return openNVML(name) })
	return func() ([]card, error) {
		if err := open(); err != nil {
			return nil, err
		}
		api := nvml.New(nvml.WithLibraryPath(name))
		if ret := api.Init(); ret != nvml.SUCCESS {
			return nil, fmt.Errorf("begin: %w", ret)
		}
		// It is begun and ended each time: it knows only the devices that it
		// found when it began, and keeps their files open until it ends.
		defer api.Shutdown()
		return readNVML(api)
	}
}

func openNVML(name string) error {
	handle := dl.New(name, dl.RTLD_LAZY|dl.RTLD_GLOBAL)
	if err := handle.Open(); err != nil {
		return fmt.Errorf("%w: %w", errNoLibrary, err)
	}
	for _, function := range nvmlNeeds {
		if err := handle.Lookup(function); err != nil {
			return err
		}
	}
	return nil
}

// readNVML lists the devices that answer, and the faults of those that do not.
func readNVML(api nvml.Interface) ([]card, error) {
	count, ret := api.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, fmt.Errorf("count devices: %w", ret)
	}
	if count > cardsMax {
		return nil, fmt.Errorf("%d devices are impossible", count)
	}
	list := []card{} // not nil: it has answered
	var faults []error
	for i := range count {
		c, err := readDevice(api, i)
		if err != nil {
			faults = append(faults, fmt.Errorf("device %d: %w", i, err))
			continue
		}
		list = append(list, c)
	}
	list, err := checkCards(list)
	return list, errors.Join(append(faults, err)...)
}

func readDevice(api nvml.Interface, index int) (card, error) {
	d, ret := api.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		return card{}, ret
	}
	c := card{index: index}
	if c.product, ret = d.GetName(); ret != nvml.SUCCESS {
		return card{}, fmt.Errorf("name: %w", ret)
	}
	if c.id, ret = d.GetUUID(); ret != nvml.SUCCESS {
		return card{}, fmt.Errorf("UUID: %w", ret)
	}
	minor, ret := d.GetMinorNumber()
	if ret != nvml.SUCCESS {
		return card{}, fmt.Errorf("minor number: %w", ret)
	}
	c.file = fmt.Sprintf("/dev/nvidia%d", minor)
	memory, ret := d.GetMemoryInfo()
	if ret != nvml.SUCCESS && ret != nvml.ERROR_NOT_SUPPORTED { // chips that share the processor's have none
		return card{}, fmt.Errorf("memory: %w", ret)
	}
	c.memory = unit.Bytes(memory.Total)
	return c, nil
}
