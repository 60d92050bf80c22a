import ArgumentParser
import Foundation
import Kernels

/// Measures matrix products on this machine.
struct BenchProductsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "products", abstract: "Measure matrix products alone, by format and shape.",
    discussion: """
      y[M, N] = x[M, K] times the transpose of w[N, K]. Shapes are written NxK: 1536x576 has 1536 \
      outputs. Products take about 128 MB of packed weights in turn, as the layers of a model do, \
      so that no cache holds them from one use to the next. Quantised formats quantise the \
      activations in every product, which is counted as time but not as operations. A multiply-add \
      is two operations. Each figure is the median of --repeats runs after a warm-up.

      EXAMPLE:
        tally bench products --shape 1536x576 --rows 1 --rows 8 --type f32 --json
      """)

  @Option(help: "NxK; may be repeated.")
  var shape: [Shape] = [Shape(outputs: 2048, inputs: 2048)]

  @Option(help: "M, rows of activations; may be repeated.")
  var rows: [Int] = [1, 8, 32, 512]

  @Option(help: "How weights are stored; may be repeated.")
  var type: [WeightType] = [.f32]

  @Option(help: "Seconds of one run, at least.")
  var seconds = 0.05

  @OptionGroup var repetition: RepeatOptions

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var compute: ComputeOptions

  struct Shape: ExpressibleByArgument, CustomStringConvertible {
    let outputs: Int
    let inputs: Int

    init(outputs: Int, inputs: Int) { (self.outputs, self.inputs) = (outputs, inputs) }

    init?(argument: String) {
      let sides = argument.split(separator: "x").map { Int($0) ?? 0 }
      guard sides.count == 2, sides.allSatisfy({ (1...1 << 20).contains($0) }) else { return nil }
      self.init(outputs: sides[0], inputs: sides[1])
    }

    var description: String { "\(outputs)x\(inputs)" }
    var defaultValueDescription: String { description }
  }

  private struct Figure: Encodable {
    let type: String
    let outputs: Int
    let inputs: Int
    let rows: Int
    let operations_per_second: Double
  }

  private struct Report: Encodable {
    let threads: Int
    let variant: String
    let products: [Figure]
  }

  func validate() throws {
    guard rows.allSatisfy({ (1...1 << 16).contains($0) }) else {
      throw ValidationError("--rows takes 1 to \(1 << 16)")
    }
    guard (0...60).contains(seconds) else { throw ValidationError("--seconds takes 0 to 60") }
  }

  func run() throws {
    let compute = try compute.makeCompute()
    var figures: [Figure] = []
    for type in type {
      for shape in shape {
        let bench = try ProductBenchmark(
          type, outputs: shape.outputs, inputs: shape.inputs, compute: compute)
        for rows in rows {
          let rate = try repetition.medianOfRuns {
            try bench.operations(rows: rows, seconds: seconds)
          }
          figures.append(
            Figure(
              type: type.rawValue, outputs: shape.outputs, inputs: shape.inputs, rows: rows,
              operations_per_second: rate))
        }
      }
    }
    let variant = compute.kernels.variant.rawValue
    if json {
      return try printJSON(
        Report(threads: compute.pool.threads, variant: variant, products: figures))
    }
    var table = TextTable(
      .text("TYPE"), .number("OUTPUTS"), .number("INPUTS"), .number("ROWS"), .number("GOP/S"))
    for figure in figures {
      table.add(
        figure.type, String(figure.outputs), String(figure.inputs), String(figure.rows),
        String(format: "%.1f", figure.operations_per_second / 1e9))
    }
    Terminal.output.line(table.rendered())
    Terminal.output.line("\(compute.pool.threads) threads, \(variant)")
  }
}

extension WeightType: ExpressibleByArgument {}
