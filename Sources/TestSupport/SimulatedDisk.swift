/// A disk that forgets what was not synchronised when the machine stops.
package struct SimulatedDisk: Sendable {
  private var durable: [String: [UInt8]] = [:]
  private var visible: [String: [UInt8]] = [:]

  package init() {}

  /// The names of all files that a reader sees, sorted.
  package var names: [String] { visible.keys.sorted() }

  /// What a reader sees of a file; nil when there is none.
  package func read(_ name: String) -> [UInt8]? { visible[name] }

  /// Writes a file that a crash takes back until `synchronize`.
  package mutating func write(_ name: String, _ bytes: [UInt8]) { visible[name] = bytes }

  /// Removes a file; a crash before `synchronize` brings it back.
  package mutating func remove(_ name: String) { visible[name] = nil }

  /// Makes the present state of a file durable.
  package mutating func synchronize(_ name: String) { durable[name] = visible[name] }

  /// The machine stops: what was not synchronised is as before.
  package mutating func crash() { visible = durable }
}
