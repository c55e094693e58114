/* A peer made for the tests of this package: it plays NVIDIA's libnvidia-ml.so.1
 * with two H200s that are not there. It is not NVIDIA's, and is written from the
 * names and types in the public header nvml.h.
 *
 * GAON_PEER_SCENE says what goes wrong, GAON_PEER_FOLDER holds the marks left
 * for the test: "begun" gets a byte at each nvmlInit_v2, and a call that hangs
 * hangs until there is a file "release".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3,
       INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };

struct device { const char *uuid; unsigned minor; };
struct memory { unsigned long long total, free, used; };

/* The numbers in /dev are not the order in which they are listed. */
static struct device devices[2] = {
	{ "GPU-1a2b3c4d-0000-1111-2222-333344445555", 1 },
	{ "GPU-9f8e7d6c-0000-1111-2222-333344445555", 0 },
};
static int users;

static int scene(const char *name)
{
	const char *now = getenv("GAON_PEER_SCENE");
	return now && strcmp(now, name) == 0;
}

static char *mark(char *path, size_t size, const char *name)
{
	const char *folder = getenv("GAON_PEER_FOLDER");
	snprintf(path, size, "%s/%s", folder ? folder : ".", name);
	return path;
}

int nvmlInit_v2(void)
{
	char path[4096];
	FILE *begun = fopen(mark(path, sizeof path, "begun"), "a");
	if (begun) {
		fputc('.', begun);
		fclose(begun);
	}
	if (scene("hang")) {
		mark(path, sizeof path, "release");
		while (access(path, F_OK) != 0)
			usleep(2000);
	}
	if (scene("driver-not-loaded"))
		return DRIVER_NOT_LOADED;
	users++;
	return SUCCESS;
}

int nvmlShutdown(void)
{
	if (users == 0)
		return UNINITIALIZED;
	users--;
	return SUCCESS;
}

const char *nvmlErrorString(int result)
{
	switch (result) {
	case SUCCESS: return "The operation was successful";
	case DRIVER_NOT_LOADED: return "Driver Not Loaded";
	case GPU_IS_LOST: return "GPU is lost";
	case NOT_SUPPORTED: return "Not Supported";
	default: return "Unknown Error";
	}
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
	if (users == 0)
		return UNINITIALIZED;
	*count = scene("none") ? 0 : scene("too-many") ? 1u << 31 : 2;
	return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **device)
{
	if (users == 0)
		return UNINITIALIZED;
	if (index >= 2)
		return INVALID_ARGUMENT;
	if (scene("lost") && index == 0)
		return GPU_IS_LOST;
	*device = &devices[index];
	return SUCCESS;
}

static int copy(char *to, unsigned size, const char *text)
{
	if (strlen(text) >= size)
		return INSUFFICIENT_SIZE;
	strcpy(to, text);
	return SUCCESS;
}

int nvmlDeviceGetName(struct device *device, char *name, unsigned size)
{
	(void)device;
	return copy(name, size, "NVIDIA H200");
}

int nvmlDeviceGetUUID(struct device *device, char *uuid, unsigned size)
{
	if (scene("odd-id"))
		return copy(uuid, size, "GPU-1,GPU-2");
	return copy(uuid, size, device->uuid);
}

#ifndef WITHOUT_MINOR
int nvmlDeviceGetMinorNumber(struct device *device, unsigned *minor)
{
	*minor = device->minor;
	return SUCCESS;
}
#endif

int nvmlDeviceGetMemoryInfo(struct device *device, struct memory *memory)
{
	(void)device;
	if (scene("shared-memory"))
		return NOT_SUPPORTED;
	memory->total = 141ull << 30;
	memory->free = memory->total;
	memory->used = 0;
	return SUCCESS;
}
