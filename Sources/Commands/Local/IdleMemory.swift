import Foundation
import Glibc
import Synchronization
import WorkerCore
import WorkerDaemon

/// Gives memory back to the system while a worker has nothing to do: the pages of the program
/// itself that only its start and its units need. They come again when they are touched.
final class IdleMemory: Sendable {
  /// Whether more than asking for work was done since the last time.
  private let hasWorked = Mutex(true)

  /// Looks at what the worker does now; gives back when it has nothing to do for the first time
  /// since it started or worked.
  func look(at report: WorkerReport) {
    let gives = hasWorked.withLock { hasWorked in
      switch report.activity {
      case .idle where report.unit == nil:
        defer { hasWorked = false }
        return hasWorked
      case .fetching, .running, .uploading: hasWorked = true
      default: break
      }
      return false
    }
    if gives { Self.giveBack() }
  }

  private static func giveBack() {
    let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    for line in maps.split(separator: "\n") where line.hasSuffix(" " + program) {
      // Code: never written, so that nothing is lost with its pages (madvise(2)).
      let fields = line.split(separator: " ", maxSplits: 2)
      guard fields.count == 3, fields[1] == "r-xp" else { continue }
      let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard ends.count == 2, ends[0] < ends[1],
        let start = UnsafeMutableRawPointer(bitPattern: ends[0])
      else { continue }
      madvise(start, Int(ends[1] - ends[0]), MADV_DONTNEED)
    }
  }
}
