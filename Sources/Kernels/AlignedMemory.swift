#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Zeroed bytes at a multiple of 64 (a cache line, an AVX-512 register), freed with their owner.
///
/// `@unchecked Sendable`: the reference itself is immutable; who may touch the bytes is decided by
/// the owner, each of which says so (weights: nobody after construction; cache blocks: their
/// sequence's executor).
final class AlignedMemory: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let isMapped: Bool

  /// From here on memory is mapped: pages cost nothing until written, and may be huge ones.
  private static let mappingThreshold = 1 << 20

  /// - Throws: `KernelError.outOfResources` if the system has no such memory.
  init(byteCount: Int) throws(KernelError) {
    guard byteCount >= 0, byteCount <= 1 << 46 else {
      throw KernelError(code: .outOfResources, message: "no \(byteCount) bytes of memory")
    }
    self.byteCount = roundUp(max(byteCount, 64), 64)
    isMapped = self.byteCount >= Self.mappingThreshold
    guard let base = isMapped ? Self.map(self.byteCount) : Self.allocate(self.byteCount) else {
      throw KernelError(code: .outOfResources, message: "no \(byteCount) bytes of memory")
    }
    self.base = base
  }

  private static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    var pointer: UnsafeMutableRawPointer?
    guard posix_memalign(&pointer, 64, byteCount) == 0, let pointer else { return nil }
    memset(pointer, 0, byteCount)
    return pointer
  }

  private static func map(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    let pointer = mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let pointer, pointer != MAP_FAILED else { return nil }
    _ = madvise(pointer, byteCount, 14)  // MADV_HUGEPAGE; only a hint
    return pointer
  }

  deinit {
    if isMapped { munmap(base, byteCount) } else { free(base) }
  }
}
