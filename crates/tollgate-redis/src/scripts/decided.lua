answer[2] = write_all(cells) or allowed
return answer
