import Foundation

/// Asks the system to read parts of a mapped file before they are touched: all at once, which keeps
/// a disk busier than page faults one after the other.
struct StreamedReading: Sendable {
  private let pageBytes = Int(getpagesize())

  /// Returns at once.
  func begin(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
    let offset = Int(bitPattern: base) % pageBytes
    let start = UnsafeMutableRawPointer(mutating: base - offset)
    madvise(start, bytes.count + offset, 3)  // MADV_WILLNEED
  }
}
