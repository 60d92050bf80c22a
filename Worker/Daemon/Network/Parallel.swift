/// Work on several elements at a time.
enum Parallel {
  /// Calls `body` for every element, `limit` at a time. After the first error no element is begun;
  /// those under way end by themselves.
  ///
  /// - Returns: what the calls that ended well gave, in no order, and the first error.
  static func map<Element: Sendable, Output: Sendable>(
    _ elements: [Element], limit: Int,
    _ body: @escaping @Sendable (Element) async throws -> Output
  ) async -> (outputs: [Output], error: (any Error)?) {
    await withTaskGroup(of: Result<Output, any Error>.self) { group in
      var waiting = elements[...]
      func begin(_ count: Int) {
        for element in waiting.prefix(count) {
          group.addTask {
            do {
              return .success(try await body(element))
            } catch {
              return .failure(error)
            }
          }
        }
        waiting = waiting.dropFirst(count)
      }
      begin(max(1, limit))
      var outputs: [Output] = []
      var first: (any Error)?
      while let outcome = await group.next() {
        switch outcome {
        case .success(let output): outputs.append(output)
        case .failure(let error): first = first ?? error
        }
        if first == nil { begin(1) }
      }
      return (outputs, first)
    }
  }
}
