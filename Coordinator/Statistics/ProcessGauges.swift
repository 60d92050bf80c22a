import Foundation

/// What Linux says of this process, under the names that Prometheus' own clients use.
package struct ProcessGauges: Hashable, Sendable {
  /// In bytes; nil where it cannot be read.
  package var residentBytes: Int?
  package var openFiles: Int?

  package static func read() -> ProcessGauges {
    var gauges = ProcessGauges()
    if let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) {
      let fields = text.split(separator: " ")
      if fields.count > 1, let pages = Int(fields[1]) {
        gauges.residentBytes = pages * Int(sysconf(Int32(_SC_PAGESIZE)))
      }
    }
    gauges.openFiles = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    return gauges
  }

  package func write(to text: inout MetricsText) {
    if let residentBytes {
      text.metric(
        "process_resident_memory_bytes", .gauge, "Resident memory.", Double(residentBytes))
    }
    if let openFiles {
      text.metric("process_open_fds", .gauge, "Open file descriptors.", Double(openFiles))
    }
  }
}
