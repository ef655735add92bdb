/**
 * The only door to libc. Every call is thin, synchronous and speaks the kernel's own convention: a result of zero or
 * more is success, a negative one is `-errno`. `kernel-failure.ts` turns the negative ones into failures with words.
 * Nothing in this file decides anything.
 *
 * A call runs on the calling thread, so `setNamespace` followed by `openSocket` in the same synchronous stretch of
 * code sees one namespace throughout.
 */
import koffi from 'koffi';

const libc = koffi.load(null);

type Call<Parameters extends readonly unknown[]> = (...values: Parameters) => number;
type Bytes = Uint8Array;

const cSocket: Call<[number, number, number]> = libc.func('int socket(int, int, int)');
const cBind: Call<[number, Bytes, number]> = libc.func('int bind(int, const void *, uint32_t)');
const cConnect: Call<[number, Bytes, number]> = libc.func(
  'int connect(int, const void *, uint32_t)',
);
const cSend: Call<[number, Bytes, number, number]> = libc.func(
  'intptr_t send(int, const void *, size_t, int)',
);
const cSendTo: Call<[number, Bytes, number, number, Bytes, number]> = libc.func(
  'intptr_t sendto(int, const void *, size_t, int, const void *, uint32_t)',
);
const cRecv: Call<[number, Bytes, number, number]> = libc.func(
  'intptr_t recv(int, void *, size_t, int)',
);
const cRecvFrom: Call<[number, Bytes, number, number, Bytes, Bytes]> = libc.func(
  'intptr_t recvfrom(int, void *, size_t, int, void *, void *)',
);
const cRecvMsg: Call<[number, Bytes, number]> = libc.func('intptr_t recvmsg(int, void *, int)');
const cSetSockOpt: Call<[number, number, number, Bytes, number]> = libc.func(
  'int setsockopt(int, int, int, const void *, uint32_t)',
);
const cGetSockOpt: Call<[number, number, number, Bytes, Bytes]> = libc.func(
  'int getsockopt(int, int, int, void *, void *)',
);
const cGetSockName: Call<[number, Bytes, Bytes]> = libc.func(
  'int getsockname(int, void *, void *)',
);
const cClose: Call<[number]> = libc.func('int close(int)');
const cOpen: Call<[string, number, number]> = libc.func('int open(const char *, int, uint32_t)');
const cRead: Call<[number, Bytes, number]> = libc.func('intptr_t read(int, void *, size_t)');
const cWrite: Call<[number, Bytes, number]> = libc.func(
  'intptr_t write(int, const void *, size_t)',
);
const cSetNs: Call<[number, number]> = libc.func('int setns(int, int)');
const cUnshare: Call<[number]> = libc.func('int unshare(int)');
const cMount: Call<[string | null, string, string | null, number, string | null]> = libc.func(
  'int mount(const char *, const char *, const char *, ulong, const char *)',
);
const cUnmount: Call<[string, number]> = libc.func('int umount2(const char *, int)');
const cIoctl: Call<[number, number, Bytes]> = libc.func('int ioctl(int, ulong, void *)');
const cIoctlValue: Call<[number, number, number]> = libc.func('ioctl', 'int', [
  'int',
  'ulong',
  'ulong',
]);
const cEventFd: Call<[number, number]> = libc.func('int eventfd(uint32_t, int)');
const cMemFdCreate: Call<[string, number]> = libc.func('int memfd_create(const char *, uint32_t)');
const cFlock: Call<[number, number]> = libc.func('int flock(int, int)');
const cIfNameToIndex: Call<[string]> = libc.func('uint32_t if_nametoindex(const char *)');
const cOpenTree: Call<[number, number, string, number]> = libc.func('syscall', 'long', [
  'long',
  'int',
  'str',
  'uint32_t',
]);
const cMoveMount: Call<[number, number, string, number, string, number]> = libc.func(
  'syscall',
  'long',
  ['long', 'int', 'str', 'int', 'str', 'uint32_t'],
);
const cMountSetAttributes: Call<[number, number, string, number, Bytes, number]> = libc.func(
  'syscall',
  'long',
  ['long', 'int', 'str', 'uint32_t', 'void *', 'size_t'],
);
const cPidFdOpen: Call<[number, number, number]> = libc.func('syscall', 'long', [
  'long',
  'int',
  'uint32_t',
]);
const cPidFdGetFd: Call<[number, number, number, number]> = libc.func('syscall', 'long', [
  'long',
  'int',
  'int',
  'uint32_t',
]);
const cCloseRange: Call<[number, number, number, number]> = libc.func('syscall', 'long', [
  'long',
  'uint32_t',
  'uint32_t',
  'uint32_t',
]);
const cMapMemory: Call<[null, number, number, number, number, number]> = libc.func(
  'intptr_t mmap(void *, size_t, int, int, int, int64_t)',
);
const cUnmapMemory: Call<[number, number]> = libc.func('munmap', 'int', ['uintptr_t', 'size_t']);
const cReadMemory: (to: Bytes, from: number, length: number) => void = libc.func('memcpy', 'void', [
  'void *',
  'uintptr_t',
  'size_t',
]);
const cWriteMemory: (to: number, from: Bytes, length: number) => void = libc.func(
  'memcpy',
  'void',
  ['uintptr_t', 'void *', 'size_t'],
);
const cStringError: (errno: number) => string = libc.func('const char *strerror(int)');
const cStatFs: Call<[string, Bytes]> = libc.func('int statfs(const char *, void *)');
const cGetExtendedAttribute: Call<[string, string, Bytes, number]> = libc.func(
  'intptr_t getxattr(const char *, const char *, void *, size_t)',
);
const cSetExtendedAttribute: Call<[string, string, Bytes, number, number]> = libc.func(
  'int setxattr(const char *, const char *, const void *, size_t, int)',
);

/** Numbers from the kernel's uapi headers (asm-generic; equal on x86, arm, arm64, riscv and s390). */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_ATTACH_FILTER = 26;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const MSG_PEEK = 0x2;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_NOSIGNAL = 0x4000;
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWNET = 0x40000000;
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_BIND = 4096;
export const MS_REC = 16384;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MNT_DETACH = 2;
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;
export const AT_RECURSIVE = 0x8000;
export const OPEN_TREE_CLONE = 1;
export const OPEN_TREE_CLOEXEC = O_CLOEXEC;
export const MOVE_MOUNT_F_EMPTY_PATH = 0x4;

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const EPIPE = 32;
export const EPROTO = 71;
export const EMSGSIZE = 90;
export const EOPNOTSUPP = 95;
export const EADDRNOTAVAIL = 99;
export const ENETUNREACH = 101;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EINPROGRESS = 115;

/** `result` as it is, or `-errno` of the call that has just failed. */
function settle(result: number): number {
  return result < 0 ? -koffi.errno() : result;
}

/** socket(2); returns the descriptor or `-errno`. Pass SOCK_CLOEXEC, or children inherit it. */
export function openSocket(family: number, type: number, protocol: number): number {
  return settle(cSocket(family, type, protocol));
}

export function bindSocket(fd: number, address: Uint8Array): number {
  return settle(cBind(fd, address, address.length));
}

export function connectSocket(fd: number, address: Uint8Array): number {
  return settle(cConnect(fd, address, address.length));
}

/** send(2) of the first `length` bytes; returns the bytes taken or `-errno`. EINTR is retried. */
export function send(fd: number, data: Uint8Array, length: number, flags: number): number {
  for (;;) {
    const sent = settle(cSend(fd, data, length, flags));
    if (sent !== -EINTR) return sent;
  }
}

export function sendTo(fd: number, data: Uint8Array, flags: number, address: Uint8Array): number {
  for (;;) {
    const sent = settle(cSendTo(fd, data, data.length, flags, address, address.length));
    if (sent !== -EINTR) return sent;
  }
}

/** recv(2) into the whole of `data`; returns the bytes read (with MSG_TRUNC the whole size) or `-errno`. */
export function receive(fd: number, data: Uint8Array, flags: number): number {
  for (;;) {
    const received = settle(cRecv(fd, data, data.length, flags));
    if (received !== -EINTR) return received;
  }
}

const addressLength = Buffer.allocUnsafeSlow(8);

/** recvfrom(2); the sender's sockaddr is written to `address`, zero-filled where the kernel wrote less. */
export function receiveFrom(
  fd: number,
  data: Uint8Array,
  flags: number,
  address: Uint8Array,
): number {
  for (;;) {
    address.fill(0);
    addressLength.writeUInt32LE(address.length, 0);
    const received = settle(cRecvFrom(fd, data, data.length, flags, address, addressLength));
    if (received !== -EINTR) return received;
  }
}

export interface ReceivedMessage {
  /** Bytes of data, or `-errno`. */
  readonly length: number;
  /** Bytes of ancillary data in the receiver's `control`. */
  readonly controlLength: number;
  /** MSG_TRUNC, MSG_CTRUNC, MSG_ERRQUEUE. */
  readonly flags: number;
}

/**
 * recvmsg(2) with buffers of its own, reused from call to call: copy what must outlive the next one. `data` receives
 * the payload, `address` the sender's sockaddr and `control` the ancillary data.
 */
export class MessageReceiver {
  readonly data: Buffer;
  readonly control: Buffer;
  readonly address: Buffer;
  /** struct msghdr on a 64-bit machine: name, namelen, iov, iovlen, control, controllen, flags. */
  private readonly header = Buffer.allocUnsafeSlow(56);
  /** One struct iovec. The members below point into buffers that this object keeps alive. */
  private readonly vector = Buffer.allocUnsafeSlow(16);

  constructor(dataSize: number, controlSize: number) {
    this.data = Buffer.allocUnsafeSlow(dataSize);
    this.control = Buffer.allocUnsafeSlow(Math.max(controlSize, 16));
    this.address = Buffer.allocUnsafeSlow(128);
    this.vector.writeBigUInt64LE(koffi.address(this.data), 0);
    this.vector.writeBigUInt64LE(BigInt(dataSize), 8);
    this.header.fill(0);
    this.header.writeBigUInt64LE(koffi.address(this.address), 0);
    this.header.writeBigUInt64LE(koffi.address(this.vector), 16);
    this.header.writeBigUInt64LE(1n, 24);
    this.header.writeBigUInt64LE(koffi.address(this.control), 32);
  }

  receive(fd: number, flags: number): ReceivedMessage {
    for (;;) {
      this.header.writeUInt32LE(this.address.length, 8);
      this.header.writeUInt32LE(this.control.length, 40);
      this.header.writeUInt32LE(0, 44);
      this.header.writeUInt32LE(0, 48);
      const length = settle(cRecvMsg(fd, this.header, flags));
      if (length === -EINTR) continue;
      return {
        length,
        controlLength: length < 0 ? 0 : this.header.readUInt32LE(40),
        flags: length < 0 ? 0 : this.header.readUInt32LE(48),
      };
    }
  }
}

export function setSocketOption(
  fd: number,
  level: number,
  option: number,
  value: number | Uint8Array,
): number {
  if (typeof value !== 'number') {
    return settle(cSetSockOpt(fd, level, option, value, value.length));
  }
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32LE(value, 0);
  return settle(cSetSockOpt(fd, level, option, bytes, 4));
}

/** getsockopt(2) of an int option. Returns the value (never negative for the options in use) or `-errno`. */
export function getSocketOption(fd: number, level: number, option: number): number {
  const value = Buffer.alloc(8);
  const length = Buffer.alloc(8);
  length.writeUInt32LE(4, 0);
  const result = settle(cGetSockOpt(fd, level, option, value, length));
  return result < 0 ? result : value.readInt32LE(0);
}

/** getsockopt(2) of a structure, written to `value`. Returns its length or `-errno`. */
export function readSocketOption(
  fd: number,
  level: number,
  option: number,
  value: Uint8Array,
): number {
  const length = Buffer.alloc(8);
  length.writeUInt32LE(value.length, 0);
  const result = settle(cGetSockOpt(fd, level, option, value, length));
  return result < 0 ? result : length.readUInt32LE(0);
}

/** getsockname(2): writes the sockaddr to `address`; returns its length or `-errno`. */
export function readSocketName(fd: number, address: Uint8Array): number {
  const length = Buffer.alloc(8);
  length.writeUInt32LE(address.length, 0);
  const result = settle(cGetSockName(fd, address, length));
  return result < 0 ? result : length.readUInt32LE(0);
}

/** SO_ATTACH_FILTER of classic BPF instructions, eight bytes each (struct sock_filter). */
export function attachFilter(fd: number, instructions: Uint8Array): number {
  const program = Buffer.alloc(16);
  program.writeUInt16LE(instructions.length / 8, 0);
  program.writeBigUInt64LE(koffi.address(instructions), 8);
  return settle(cSetSockOpt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, program.length));
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

/** mmap(2) of a descriptor from its start, to be read and written by both sides. Returns the address or `-errno`. */
export function mapMemory(fd: number, length: number): number {
  return settle(cMapMemory(null, length, PROT_READ_WRITE, MAP_SHARED, fd, 0));
}

export function unmapMemory(address: number, length: number): number {
  return settle(cUnmapMemory(address, length));
}

/**
 * Copies from mapped memory: a view of it would not do, since Electron's Node has no buffers outside of V8's cage. The
 * place must be within a mapping that is still there, or the process ends.
 */
export function readMemory(to: Uint8Array, address: number, length: number): void {
  if (length > to.length) throw new RangeError('More memory than the buffer has room for.');
  cReadMemory(to, address, length);
}

/** As `readMemory`, the other way. */
export function writeMemory(address: number, from: Uint8Array): void {
  cWriteMemory(address, from, from.length);
}

/** close(2). Linux always releases the descriptor, also on error, so there is nothing to retry. */
export function closeDescriptor(fd: number): number {
  return settle(cClose(fd));
}

/** open(2); returns the descriptor or `-errno`. O_CLOEXEC is always added. */
export function openDescriptor(path: string, flags: number, mode = 0): number {
  for (;;) {
    const fd = settle(cOpen(path, flags | O_CLOEXEC, mode));
    if (fd !== -EINTR) return fd;
  }
}

export function readDescriptor(fd: number, data: Uint8Array): number {
  for (;;) {
    const count = settle(cRead(fd, data, data.length));
    if (count !== -EINTR) return count;
  }
}

export function writeDescriptor(fd: number, data: Uint8Array): number {
  for (;;) {
    const count = settle(cWrite(fd, data, data.length));
    if (count !== -EINTR) return count;
  }
}

/** setns(2) of the calling thread. Come back in the same synchronous stretch; see `runIn` in namespaces.ts. */
export function setNamespace(fd: number, type: number): number {
  return settle(cSetNs(fd, type));
}

/** unshare(2) of the calling thread. */
export function unshare(flags: number): number {
  return settle(cUnshare(flags));
}

export function mountFileSystem(
  source: string | null,
  target: string,
  type: string | null,
  flags: number,
  options: string | null = null,
): number {
  return settle(cMount(source, target, type, flags, options));
}

export function unmount(target: string, flags: number): number {
  return settle(cUnmount(target, flags));
}

/** ioctl(2) with a pointer argument. Returns its result or `-errno`. */
export function controlDevice(fd: number, request: number, argument: Uint8Array): number {
  return settle(cIoctl(fd, request, argument));
}

/** ioctl(2) of netdevice(7) with a pointer to `data` (ifr_data). Returns its result or `-errno`. */
export function controlInterface(
  fd: number,
  request: number,
  name: string,
  data: Uint8Array,
): number {
  // struct ifreq: the name, 16 bytes, then a union of 24.
  const argument = Buffer.alloc(40);
  argument.write(name, 0, 15, 'utf8');
  argument.writeBigUInt64LE(koffi.address(data), 16);
  return settle(cIoctl(fd, request, argument));
}

/** ioctl(2) with an integer argument. */
export function controlDeviceWith(fd: number, request: number, argument: number): number {
  return settle(cIoctlValue(fd, request, argument));
}

export function openEventDescriptor(): number {
  return settle(cEventFd(0, O_CLOEXEC | O_NONBLOCK));
}

/** memfd_create(2): a file in memory that ends with its last descriptor. Closed on exec. */
export function openMemoryFile(name: string): number {
  return settle(cMemFdCreate(name, 1));
}

export function lockDescriptor(fd: number, operation: number): number {
  return settle(cFlock(fd, operation));
}

/** if_nametoindex(3) in the calling thread's namespace; `-errno` when there is no such link. */
export function interfaceIndex(name: string): number {
  const index = cIfNameToIndex(name);
  return index === 0 ? -koffi.errno() : index;
}

/** CLOSE_RANGE_CLOEXEC of include/uapi/linux/close_range.h. */
const CLOSE_RANGE_CLOEXEC = 4;

/** Marks what this process has open beside input, output and errors, so that no program it starts gets it. */
export function keepDescriptors(): number {
  return settle(cCloseRange(436, 3, 0xffffffff, CLOSE_RANGE_CLOEXEC));
}

export function openTree(directory: number, path: string, flags: number): number {
  return settle(cOpenTree(428, directory, path, flags));
}

export function moveMount(
  fromDirectory: number,
  fromPath: string,
  toDirectory: number,
  toPath: string,
  flags: number,
): number {
  return settle(cMoveMount(429, fromDirectory, fromPath, toDirectory, toPath, flags));
}

/** mount_setattr(2); `attributes` is struct mount_attr: attr_set, attr_clr, propagation, userns_fd, each u64. */
export function setMountAttributesOf(
  directory: number,
  path: string,
  flags: number,
  attributes: Uint8Array,
): number {
  return settle(cMountSetAttributes(442, directory, path, flags, attributes, attributes.length));
}

/** pidfd_open(2): a descriptor that stays with this process even when its number is used again. */
export function openProcessDescriptor(pid: number): number {
  return settle(cPidFdOpen(434, pid, 0));
}

/** pidfd_getfd(2): a copy of another process's descriptor, closed on exec. */
export function copyDescriptorOf(process: number, fd: number): number {
  return settle(cPidFdGetFd(438, process, fd, 0));
}

/** The file system's magic number (f_type of statfs(2)) or `-errno`. */
export function fileSystemType(path: string): number {
  const result = Buffer.alloc(256);
  const status = settle(cStatFs(path, result));
  return status < 0 ? status : result.readUInt32LE(0);
}

/** An extended attribute of a file (xattr(7)), up to 255 bytes of it; null without one. */
export function readExtendedAttribute(path: string, name: string): string | null {
  const value = Buffer.alloc(255);
  const length = settle(cGetExtendedAttribute(path, name, value, value.length));
  return length < 0 ? null : value.toString('utf8', 0, length);
}

/** Sets an extended attribute: 0 or `-errno`. */
export function writeExtendedAttribute(path: string, name: string, value: string): number {
  const bytes = Buffer.from(value);
  return settle(cSetExtendedAttribute(path, name, bytes, bytes.length, 0));
}

/** English sentence of an errno (glibc and musl answer in English unless setlocale is called; Node never does). */
export function errnoText(errno: number): string {
  return cStringError(errno);
}

export interface ReadableWatch {
  /** Ends the watch. It must come before the descriptor is closed. May be called more than once. */
  readonly stop: () => void;
}

export interface DescriptorWatch extends ReadableWatch {
  /** What to wait for from now on; nothing suspends the watch. */
  readonly want: (interest: { readonly readable: boolean; readonly writable: boolean }) => void;
}

/**
 * Calls `callback` from the event loop whenever `fd` is as wanted (level-triggered: drain it), or has an error or an
 * end while anything is wanted. libuv's poll through koffi; one watch per descriptor. Wants nothing at first. It
 * keeps the process alive while it wants something, unless `background` is set. Throws when the descriptor cannot be
 * watched (EPERM for plain files), which is a bug of the caller.
 */
export function watchDescriptor(
  fd: number,
  callback: (ready: { readonly readable: boolean; readonly writable: boolean }) => void,
  options: { readonly background?: boolean } = {},
): DescriptorWatch {
  type Interest = { readonly readable: boolean; readonly writable: boolean };
  let stopped = false;
  let wanted: Interest = { readable: false, writable: false };
  const start = (): void => {
    handle.start({ ...wanted, disconnect: wanted.readable }, report);
  };
  // koffi 3.3.4 calls back with (status, events), where its index.d.ts says (events).
  function report(...values: readonly unknown[]): void {
    if (stopped || !(wanted.readable || wanted.writable)) return;
    const [status, events] = values;
    if (typeof status !== 'number' || status < 0) {
      // libuv ends a poll on EPOLLERR (uv__poll_io), such as a netlink socket's ENOBUFS or a queued ICMP error. The
      // next call on the descriptor tells what it is and clears it; the watch goes on.
      callback({ ...wanted });
      restartIfWanted();
      return;
    }
    const found: {
      readonly readable?: unknown;
      readonly writable?: unknown;
      disconnect?: unknown;
    } = typeof events === 'object' && events !== null ? events : {};
    // A hang-up without data counts as readable: reading tells.
    const readable = found.readable === true || found.disconnect === true;
    callback({ readable, writable: found.writable === true });
  }
  function restartIfWanted(): void {
    if (!stopped && (wanted.readable || wanted.writable)) start();
  }
  const handle = koffi.node.poll(fd, { readable: true }, report);
  handle.stop();
  if (options.background === true) handle.unref();
  // A handle that nobody holds is collected, and the watch with it, without a word.
  watched.add(handle);
  return {
    want(interest) {
      if (stopped) return;
      if (interest.readable === wanted.readable && interest.writable === wanted.writable) return;
      wanted = { readable: interest.readable, writable: interest.writable };
      if (interest.readable || interest.writable) start();
      else handle.stop();
    },
    stop() {
      if (stopped) return;
      stopped = true;
      watched.delete(handle);
      handle.stop();
      handle.close();
    },
  };
}

const watched = new Set<ReturnType<typeof koffi.node.poll>>();

/** A watch that always wants to read; see {@link watchDescriptor}. */
export function watchReadable(
  fd: number,
  callback: () => void,
  options: { readonly background?: boolean } = {},
): ReadableWatch {
  const watch = watchDescriptor(fd, callback, options);
  watch.want({ readable: true, writable: false });
  return watch;
}
