import CMalloc

/// What a program has freed and the C library keeps.
package enum FreedMemory {
  /// Blocks of this size and larger are mapped and go back to the system when they are freed.
  /// Without a fixed threshold the first large block that is freed raises it to 32 MiB.
  private static let mappedBytes: Int32 = 1 << 20
  /// Heaps that threads share. glibc makes eight for each processor, each of which keeps its peak.
  private static let heaps: Int32 = 4

  /// Makes large blocks go back at once, and the rest lie in few heaps. For the start of a server.
  package static func keepLittle() {
    mallopt(M_MMAP_THRESHOLD, mappedBytes)
    mallopt(M_ARENA_MAX, heaps)
  }

  /// Gives all free pages back to the system. Takes milliseconds.
  package static func giveBack() { malloc_trim(0) }
}
