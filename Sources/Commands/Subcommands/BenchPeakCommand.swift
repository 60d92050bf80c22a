import ArgumentParser
import Foundation
import Kernels

/// Measures what the machine can do at most.
struct BenchPeakCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peak", abstract: "Measure what the processor and its memory can do at most.",
    discussion: """
      Yardsticks for other figures: float32 multiply-adds and 8-bit integer dot products on \
      registers alone, with the instructions of the kernel variant in use, a multiply-add counting \
      as two operations; and all threads reading a buffer of 256 MB in turn. Each figure is the \
      best of many short runs.

      EXAMPLE:
        tally bench peak --threads 2 --json
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var compute: ComputeOptions

  private struct Report: Encodable {
    let threads: Int
    let variant: String
    let float_operations_per_second: Double?
    let byte_operations_per_second: Double?
    let bytes_read_per_second: Double
  }

  func run() throws {
    let compute = try compute.makeCompute()
    let peak = try MachinePeak(compute)
    let report = Report(
      threads: compute.pool.threads, variant: compute.kernels.variant.rawValue,
      float_operations_per_second: peak.floatOperations,
      byte_operations_per_second: peak.byteOperations, bytes_read_per_second: peak.bytesRead)
    if json { return try printJSON(report) }
    func billions(_ value: Double?) -> String {
      value.map { String(format: "%.1f", $0 / 1e9) } ?? "not known"
    }
    var table = TextTable(.text("PEAK"), .number("BILLIONS A SECOND"))
    table.add("float32 operations", billions(peak.floatOperations))
    table.add("8-bit integer operations", billions(peak.byteOperations))
    table.add("bytes read", billions(peak.bytesRead))
    Terminal.output.line(table.rendered())
    Terminal.output.line("\(report.threads) threads, \(report.variant)")
  }
}
